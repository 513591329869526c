select
    products.product_id,
    products.make,
    products.model,
    products.year,
    products.price,
    count(purchases.purchase_id) as sold,
    count(purchases.purchase_id) filter (where purchases.status = 'returned') as returned,
    count(purchases.purchase_id) filter (where purchases.status = 'purchased') * products.price as revenue,
    rank() over (
        order by count(purchases.purchase_id) filter (where purchases.status = 'purchased') * products.price desc
    ) as place
from {{ ref('silver_products') }} as products
left join {{ ref('silver_purchases') }} as purchases
    on purchases.product_id = products.product_id and purchases.purchased_at is not null
group by products.product_id, products.make, products.model, products.year, products.price
