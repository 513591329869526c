select
    id::bigint as purchase_id,
    user_id::bigint as user_id,
    product_id::bigint as product_id,
    added_to_cart_at::timestamptz as added_to_cart_at,
    purchased_at::timestamptz as purchased_at,
    returned_at::timestamptz as returned_at,
    case
        when returned_at is not null then 'returned'
        when purchased_at is not null then 'purchased'
        else 'in cart'
    end as status,
    updated_at::timestamptz as updated_at
from ({{ newest(ref('bronze_purchases'), 'id') }}) as purchases
