select
    (purchases.purchased_at at time zone 'UTC')::date as day,
    count(*) as purchases,
    count(distinct purchases.user_id) as buyers,
    sum(products.price) as revenue,
    coalesce(sum(products.price) filter (where purchases.status = 'returned'), 0) as returned,
    coalesce(sum(products.price) filter (where purchases.status = 'purchased'), 0) as kept
from {{ ref('silver_purchases') }} as purchases
join {{ ref('silver_products') }} as products using (product_id)
where purchases.purchased_at is not null
group by 1
