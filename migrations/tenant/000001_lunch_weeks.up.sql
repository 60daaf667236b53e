-- When lunch is served. Weeks and days are known by their dates, so that a day can be checked against its week.

create table lunch_weeks (
    starts_on date primary key
        constraint a_week_starts_on_a_monday check (extract(isodow from starts_on) = 1),
    -- Families see a week only when its menu is published.
    published_at timestamptz,
    created_at timestamptz not null default now()
);

create table lunch_days (
    day date primary key,
    week date not null
        constraint a_day_belongs_to_a_planned_week references lunch_weeks (starts_on),
    -- The kitchen's cut-off: orders for the day are placed before it.
    orders_close_at timestamptz not null,
    -- Why no lunch is served, such as a holiday; null on an ordinary day.
    closed_because text
        constraint a_closed_day_says_why check (closed_because <> ''),
    constraint a_day_lies_in_its_week check (day >= week and day < week + 7),
    -- Lets an order carry the cut-off of its day, and be checked against it.
    constraint a_day_has_one_cut_off unique (day, orders_close_at)
);

create index lunch_days_of_a_week on lunch_days (week);
