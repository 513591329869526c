{# The newest version of each row: Airbyte appends in some sync modes, and a killed sync may bring a row twice. #}
{% macro newest(relation, key) %}
select distinct on ({{ key }}) *
from {{ relation }}
order by {{ key }}, _airbyte_extracted_at desc
{% endmacro %}
