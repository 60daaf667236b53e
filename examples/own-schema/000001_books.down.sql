drop table loans, books;
