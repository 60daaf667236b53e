-- A library instead of a canteen: HOMEROOM_TENANT_MIGRATIONS=examples/own-schema gives every school this schema.

create table books (
    id uuid primary key default gen_random_uuid(),
    title text not null
        constraint a_book_has_a_title check (btrim(title) <> ''),
    author text not null default ''
);

create table loans (
    id bigint generated always as identity primary key,
    book_id uuid not null
        constraint a_loan_is_of_a_book references books (id),
    borrower text not null,
    lent_at timestamptz not null default now(),
    returned_at timestamptz,
    constraint a_book_comes_back_after_it_was_lent check (returned_at >= lent_at)
);
