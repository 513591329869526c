{# A layer is a schema of the warehouse, by its own name; dbt alone would put the target's name before it. #}
{% macro generate_schema_name(custom_schema_name, node) %}{{ custom_schema_name or target.schema }}{% endmacro %}
