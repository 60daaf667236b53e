//go:build !linux && !darwin && !freebsd

package tenant

// freeIn returns how many bytes an ordinary user can write in the fullest of these folders, which is unknown on this
// system.
func freeIn(...string) (free int64, known bool) { return 0, false }
