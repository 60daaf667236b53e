package postgres

import "golang.org/x/sys/unix"

// setUserTimeout bounds how long sent data may stay unacknowledged. A kernel that refuses leaves its own bound.
func setUserTimeout(fd uintptr) {
	_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(peerTimeout.Milliseconds()))
}
