package tenant

import (
	"testing"
	"time"
)

// TestAFillingNotificationQueueEndsTheTransactionsThatMayHoldIt uses numbers, because filling a real queue takes
// gigabytes.
func TestAFillingNotificationQueueEndsTheTransactionsThatMayHoldIt(t *testing.T) {
	t.Parallel()
	watch := new(Server).NewWatch(WatchConfig{})
	sessions := []EndedSession{{Transaction: time.Minute}, {Transaction: time.Second}, {}}
	if chosen := watch.choose(sessions, 100, 0.05); len(chosen) != 0 {
		t.Errorf("a queue that is nearly empty: %+v", chosen)
	}
	chosen := watch.choose(sessions, 100, 0.1)
	if len(chosen) != 1 || chosen[0].Reason != EndedForQueue || chosen[0].Transaction != time.Minute {
		t.Errorf("a queue that fills: %+v", chosen)
	}
}

// TestAllTenantsTogetherMayHoldTwiceAsManyLocks: none of them holds too many.
func TestAllTenantsTogetherMayHoldTwiceAsManyLocks(t *testing.T) {
	t.Parallel()
	watch := new(Server).NewWatch(WatchConfig{})
	var sessions []EndedSession
	for range 3 {
		sessions = append(sessions, EndedSession{Tenant: NewID(), Locks: 90})
	}
	if chosen := watch.choose(sessions, 100, 0); len(chosen) != 1 || chosen[0].Reason != EndedForLocks {
		t.Errorf("three of ninety: %+v", chosen)
	}
}
