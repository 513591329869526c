select
    id::bigint as user_id,
    name,
    lower(email) as email,
    age::integer as age,
    gender,
    nationality,
    occupation,
    address::jsonb ->> 'city' as city,
    address::jsonb ->> 'country_code' as country,
    created_at::timestamptz as created_at,
    updated_at::timestamptz as updated_at
from ({{ newest(ref('bronze_users'), 'id') }}) as users
