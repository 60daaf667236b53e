//go:build !linux && !darwin && !freebsd

package tenant

// freeIn is how many bytes an ordinary user can write in the fullest of these folders, which this system does not tell.
func freeIn(...string) (free int64, known bool) { return 0, false }
