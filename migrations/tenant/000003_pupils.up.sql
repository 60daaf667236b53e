-- Who eats.

create table pupils (
    id uuid primary key default gen_random_uuid(),
    given_name text not null
        constraint a_pupil_has_a_given_name check (btrim(given_name) <> ''),
    family_name text not null
        constraint a_pupil_has_a_family_name check (btrim(family_name) <> ''),
    class text not null
        constraint a_pupil_is_in_a_class check (btrim(class) <> ''),
    joined_on date not null default current_date,
    -- A pupil who left keeps the orders of the past; null while at school.
    left_on date,
    created_at timestamptz not null default now(),
    constraint a_pupil_leaves_after_joining check (left_on >= joined_on)
);

create index pupils_at_school on pupils (class, family_name, given_name) where left_on is null;
