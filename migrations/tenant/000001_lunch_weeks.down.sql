drop table lunch_days;
drop table lunch_weeks;
