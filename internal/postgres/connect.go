package postgres

import (
	"net"
	"time"

	"github.com/jackc/pgx/v5"
)

// NoticeLoss makes connections of this configuration notice within half a minute that the other side has gone without a
// word, as after a failover or behind a broken network; by default a statement would wait for it for minutes, and
// whoever waits for the statement too. Connecting takes at most 5 s.
func NoticeLoss(cfg *pgx.ConnConfig) {
	cfg.ConnectTimeout = 5 * time.Second
	dialer := &net.Dialer{
		Timeout:         5 * time.Second,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3},
	}
	cfg.DialFunc = dialer.DialContext
}
