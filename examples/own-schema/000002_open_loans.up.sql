-- no-transaction
create unique index concurrently a_book_is_lent_once_at_a_time on loans (book_id) where returned_at is null;
