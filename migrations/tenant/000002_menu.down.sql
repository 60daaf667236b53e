drop table menu_days;
drop table menu_items;
