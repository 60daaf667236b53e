-- What can be eaten, and on which days.

create table menu_items (
    id uuid primary key default gen_random_uuid(),
    name text not null
        constraint a_menu_item_has_a_name check (char_length(btrim(name)) between 1 and 200),
    description text not null default '',
    price_cents integer not null
        constraint a_price_is_not_negative check (price_cents >= 0),
    diets text[] not null default '{}'
        constraint a_diet_is_known check (diets <@ array['vegetarian', 'vegan', 'halal', 'kosher']),
    -- The fourteen that food law in the EU and the UK asks to declare.
    allergens text[] not null default '{}'
        constraint an_allergen_is_known check (allergens <@ array[
            'celery', 'crustaceans', 'eggs', 'fish', 'gluten', 'lupin', 'milk', 'molluscs', 'mustard', 'nuts', 'peanuts',
            'sesame', 'soya', 'sulphites']),
    -- Old orders keep their item, so an item is retired rather than deleted.
    retired_at timestamptz,
    created_at timestamptz not null default now()
);

create unique index a_menu_item_is_listed_once on menu_items (lower(name)) where retired_at is null;

create table menu_days (
    day date not null
        constraint an_item_is_offered_on_a_lunch_day references lunch_days (day) on delete cascade,
    item_id uuid not null
        constraint an_offered_item_is_on_the_menu references menu_items (id),
    -- How many the kitchen can make; null is no limit.
    portions integer
        constraint portions_are_not_negative check (portions >= 0),
    constraint an_item_is_offered_once_a_day primary key (day, item_id)
);

create index menu_days_of_an_item on menu_days (item_id);
