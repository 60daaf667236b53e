//go:build !linux

package postgres

func setUserTimeout(uintptr) {}
