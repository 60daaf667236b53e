package postgres

import (
	"net"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// peerTimeout is how long the other side may be silent, while we wait for it, before it counts as gone.
const peerTimeout = 25 * time.Second

// DetectLoss makes connections of this configuration notice within half a minute that the other side has gone without a
// word, as after a failover or behind a broken network; by default a statement would wait for it for many minutes, and
// whoever waits for the statement too. Connecting takes at most 5 s.
//
// Keep-alives find the loss while nothing that we sent is unacknowledged, TCP_USER_TIMEOUT otherwise (Linux only; tcp(7)).
func DetectLoss(cfg *pgx.ConnConfig) {
	cfg.ConnectTimeout = 5 * time.Second
	dialer := &net.Dialer{
		Timeout:         5 * time.Second,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3},
		Control: func(_, _ string, conn syscall.RawConn) error {
			return conn.Control(setUserTimeout)
		},
	}
	cfg.DialFunc = dialer.DialContext
}
