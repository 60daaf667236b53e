-- Who eats what, on which day.

create table orders (
    id uuid primary key default gen_random_uuid(),
    pupil_id uuid not null
        constraint an_order_is_for_a_pupil references pupils (id),
    day date not null,
    item_id uuid not null,
    quantity smallint not null default 1
        constraint an_order_is_for_1_to_5_portions check (quantity between 1 and 5),
    -- The price of one portion when it was ordered; the menu's may change later.
    price_cents integer not null
        constraint an_ordered_price_is_not_negative check (price_cents >= 0),
    placed_at timestamptz not null default now(),
    -- The cut-off of the day; it follows the day's when that is moved.
    orders_close_at timestamptz not null,
    constraint a_pupil_orders_once_a_day unique (pupil_id, day),
    constraint an_ordered_item_is_offered_that_day foreign key (day, item_id) references menu_days (day, item_id),
    constraint an_order_knows_the_cut_off_of_its_day foreign key (day, orders_close_at)
        references lunch_days (day, orders_close_at) on update cascade,
    constraint an_order_is_placed_before_the_cut_off check (placed_at < orders_close_at)
);

create index orders_of_a_day on orders (day, item_id);
