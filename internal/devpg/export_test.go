package devpg

import "context"

// What tests of the search for binaries reach directly: on a machine with Postgres installed, Start would stop searching
// before it came this far.

func (cfg Config) Download(ctx context.Context) (Binaries, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return Binaries{}, err
	}
	user, err := serverUser()
	if err != nil {
		return Binaries{}, err
	}
	return cfg.download(ctx, user)
}

// SetIntegrity replaces the checksum of this platform's package; the result puts it back.
func SetIntegrity(sum string) (restore func()) {
	before, had := integrity[platform()]
	integrity[platform()] = sum
	return func() {
		delete(integrity, platform())
		if had {
			integrity[platform()] = before
		}
	}
}

var (
	Registry      = registry
	LinkLibraries = linkLibraries
)

// FindBinaries looks for Postgres on this machine, and downloads nothing.
func FindBinaries() (Binaries, error) {
	cfg, err := Config{}.withDefaults()
	if err != nil {
		return Binaries{}, err
	}
	user, err := serverUser()
	if err != nil {
		return Binaries{}, err
	}
	return cfg.find(user, 0)
}
