select
    id::bigint as product_id,
    make,
    model,
    year::integer as year,
    price::numeric(12, 2) as price,
    created_at::timestamptz as created_at,
    updated_at::timestamptz as updated_at
from ({{ newest(ref('bronze_products'), 'id') }}) as products
