package migrations_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"homeroom/migrations"
)

const lunch = `
	insert into lunch_weeks (starts_on) values ('2026-03-02'), ('2026-03-09');
	insert into lunch_days (day, week, orders_close_at) values ('2026-03-02', '2026-03-02', 'infinity'), ('2026-03-03', '2026-03-02', '2026-03-02');
	insert into menu_items (id, name, price_cents, diets, allergens)
		values ('00000000-0000-0000-0000-000000000001', 'Dal', 350, '{vegan}', '{mustard}');
	insert into menu_days (day, item_id) values ('2026-03-02', '00000000-0000-0000-0000-000000000001'), ('2026-03-03', '00000000-0000-0000-0000-000000000001');
	insert into pupils (id, given_name, family_name, class, joined_on) values
		('00000000-0000-0000-0000-00000000000a', 'Ada', 'L', '3b', '2025-09-01'), ('00000000-0000-0000-0000-00000000000b', 'Ben', 'M', '3b', '2025-09-01');
	insert into orders (pupil_id, day, item_id, price_cents, orders_close_at)
		values ('00000000-0000-0000-0000-00000000000a', '2026-03-02', '00000000-0000-0000-0000-000000000001', 350, 'infinity');`

// order inserts an order by Ben for the Monday, with one value replaced.
func order(column, value string) string {
	row := map[string]string{
		"pupil_id": "'00000000-0000-0000-0000-00000000000b'", "day": "'2026-03-02'", "quantity": "1", "price_cents": "350",
		"item_id": "'00000000-0000-0000-0000-000000000001'", "placed_at": "'2026-03-01'", "orders_close_at": "'infinity'",
	}
	row[column] = value
	return "insert into orders (pupil_id, day, quantity, price_cents, item_id, placed_at, orders_close_at) values (" +
		row["pupil_id"] + "," + row["day"] + "," + row["quantity"] + "," + row["price_cents"] + "," + row["item_id"] + "," +
		row["placed_at"] + "," + row["orders_close_at"] + ")"
}

func TestConstraintsOfTheLunchSchema(t *testing.T) {
	t.Parallel()
	conn := newDatabase(t)
	up(t, migrations.Tenant(), conn)
	exec(t, conn, lunch)
	exec(t, conn, "begin; "+order("quantity", "5")+"; rollback")

	for _, c := range []struct{ constraint, sql string }{
		{"a_week_starts_on_a_monday", "insert into lunch_weeks (starts_on) values ('2026-03-10')"},
		{"lunch_weeks_pkey", "insert into lunch_weeks (starts_on) values ('2026-03-02')"},
		{"a_day_belongs_to_a_planned_week", "insert into lunch_days (day, week, orders_close_at) values ('2026-03-16', '2026-03-16', now())"},
		{"a_day_lies_in_its_week", "insert into lunch_days (day, week, orders_close_at) values ('2026-03-09', '2026-03-02', now())"},
		{"a_day_lies_in_its_week", "insert into lunch_days (day, week, orders_close_at) values ('2026-03-08', '2026-03-09', now())"},
		{"lunch_days_pkey", "insert into lunch_days (day, week, orders_close_at) values ('2026-03-02', '2026-03-02', now())"},
		{"a_closed_day_says_why", "update lunch_days set closed_because = ''"},
		{"a_menu_item_has_a_name", "insert into menu_items (name, price_cents) values (' ', 1)"},
		{"a_menu_item_is_listed_once", "insert into menu_items (name, price_cents) values ('DAL', 1)"},
		{"a_price_is_not_negative", "insert into menu_items (name, price_cents) values ('Soup', -1)"},
		{"a_diet_is_known", "insert into menu_items (name, price_cents, diets) values ('Soup', 1, '{vegan,paleo}')"},
		{"a_diet_is_known", "insert into menu_items (name, price_cents, diets) values ('Soup', 1, '{null}')"},
		{"an_allergen_is_known", "insert into menu_items (name, price_cents, allergens) values ('Soup', 1, '{air}')"},
		{"an_item_is_offered_on_a_lunch_day", "insert into menu_days (day, item_id) values ('2026-03-04', '00000000-0000-0000-0000-000000000001')"},
		{"an_offered_item_is_on_the_menu", "insert into menu_days (day, item_id) values ('2026-03-02', gen_random_uuid())"},
		{"an_item_is_offered_once_a_day", "insert into menu_days (day, item_id) values ('2026-03-02', '00000000-0000-0000-0000-000000000001')"},
		{"portions_are_not_negative", "update menu_days set portions = -1"},
		{"a_pupil_has_a_given_name", "insert into pupils (given_name, family_name, class) values ('', 'B', '1')"},
		{"a_pupil_has_a_family_name", "insert into pupils (given_name, family_name, class) values ('A', ' ', '1')"},
		{"a_pupil_is_in_a_class", "insert into pupils (given_name, family_name, class) values ('A', 'B', '')"},
		{"a_pupil_leaves_after_joining", "update pupils set left_on = '2025-08-31'"},
		{"an_order_is_for_a_pupil", order("pupil_id", "gen_random_uuid()")},
		{"a_pupil_orders_once_a_day", order("pupil_id", "'00000000-0000-0000-0000-00000000000a'")},
		{"an_ordered_item_is_offered_that_day", order("item_id", "gen_random_uuid()")},
		{"an_order_is_for_1_to_5_portions", order("quantity", "0")},
		{"an_order_is_for_1_to_5_portions", order("quantity", "6")},
		{"an_ordered_price_is_not_negative", order("price_cents", "-1")},
		{"an_order_is_placed_before_the_cut_off", order("orders_close_at", "'2026-02-28'")},
		{"an_order_knows_the_cut_off_of_its_day", order("orders_close_at", "'2026-03-30'")},
		// Moving the cut-off to a time before an existing order.
		{"an_order_is_placed_before_the_cut_off", "update lunch_days set orders_close_at = '2026-01-01' where day = '2026-03-02'"},
	} {
		_, err := conn.Exec(t.Context(), c.sql, pgx.QueryExecModeSimpleProtocol)
		var pgErr *pgconn.PgError
		if !errors.As(err, &pgErr) || pgErr.ConstraintName != c.constraint {
			t.Errorf("%s\nwas not refused by %s: %v", c.sql, c.constraint, err)
		}
	}
}
