select
    users.user_id,
    users.name,
    users.email,
    users.country,
    count(purchases.purchase_id) as purchases,
    count(purchases.purchase_id) filter (where purchases.status = 'returned') as returns,
    coalesce(sum(products.price) filter (where purchases.status = 'purchased'), 0) as spent,
    min(purchases.purchased_at) as first_purchase_at,
    max(purchases.purchased_at) as last_purchase_at
from {{ ref('silver_users') }} as users
left join {{ ref('silver_purchases') }} as purchases
    on purchases.user_id = users.user_id and purchases.purchased_at is not null
left join {{ ref('silver_products') }} as products on products.product_id = purchases.product_id
group by users.user_id, users.name, users.email, users.country
