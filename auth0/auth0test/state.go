package auth0test

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// state is the content of Config.StateFile. It has no passwords and no client secret, but signing keys: a reader can
// create tokens of this tenant.
type state struct {
	Keys  []savedKey `json:"keys"` // the last one signs
	Users []*record  `json:"users"`
	Mails []Mail     `json:"mails"`
	// Directory is missing in old files; such a tenant gets a new one.
	Directory *directory `json:"directory,omitempty"`
}

type savedKey struct {
	ID          string `json:"id"`
	PKCS1       []byte `json:"pkcs1"`
	Certificate []byte `json:"certificate"`
}

// load reads the state file, or begins a new tenant.
func (s *Server) load() error {
	if s.cfg.StateFile != "" {
		raw, err := os.ReadFile(s.cfg.StateFile)
		if err == nil {
			return s.restore(raw)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read state: %w", err)
		}
	}
	makeKey := sharedKey
	if s.cfg.StateFile != "" {
		makeKey = newRSAKey
	}
	private, err := makeKey()
	if err != nil {
		return fmt.Errorf("make signing key: %w", err)
	}
	key, err := newSigningKey(private, s.now())
	if err != nil {
		return err
	}
	s.keys = []*signingKey{key}
	return s.save()
}

func (s *Server) restore(raw []byte) error {
	var saved state
	if err := json.Unmarshal(raw, &saved); err != nil {
		return fmt.Errorf("read state %s: %w", s.cfg.StateFile, err)
	}
	for _, k := range saved.Keys {
		private, err := x509.ParsePKCS1PrivateKey(k.PKCS1)
		if err != nil {
			return fmt.Errorf("read signing key %s: %w", k.ID, err)
		}
		cert, err := x509.ParseCertificate(k.Certificate)
		if err != nil {
			return fmt.Errorf("read signing certificate %s: %w", k.ID, err)
		}
		s.keys = append(s.keys, &signingKey{id: k.ID, private: private, cert: cert})
	}
	if len(s.keys) == 0 {
		return fmt.Errorf("read state %s: it has no signing key", s.cfg.StateFile)
	}
	for _, rec := range saved.Users {
		s.put(rec)
		user := rec.User.clone()
		s.index.update(user.ID, rec.SearchableSince, &user)
	}
	s.mails = saved.Mails
	if saved.Directory != nil {
		s.directory = saved.Directory
		if s.directory.Connections != nil {
			s.storedConnections.Store(&s.directory.Connections)
		}
		if s.directory.UserRoles == nil {
			s.directory.UserRoles = map[string][]string{}
		}
	}
	return nil
}

// save writes the state file, if it is configured. A crash leaves either the old or the new state. It needs s.mu,
// except while the server is being created.
func (s *Server) save() error {
	if s.cfg.StateFile == "" {
		return nil
	}
	saved := state{Mails: s.mails, Directory: s.directory}
	for _, key := range s.keys {
		saved.Keys = append(saved.Keys, savedKey{
			ID: key.id, PKCS1: x509.MarshalPKCS1PrivateKey(key.private), Certificate: key.cert.Raw,
		})
	}
	for _, rec := range s.users {
		saved.Users = append(saved.Users, rec)
	}
	raw, err := json.Marshal(saved)
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	return replaceFile(s.cfg.StateFile, raw)
}

// replaceFile writes another file and renames it, which is atomic; os.CreateTemp creates files for their owner only.
func replaceFile(path string, content []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	_, err = file.Write(content)
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write state: %w", errors.Join(err, os.Remove(file.Name())))
	}
	return nil
}

// mustSave logs a failure to save: the simulator continues, in memory. It needs s.mu.
func (s *Server) mustSave() {
	if err := s.save(); err != nil {
		s.cfg.Logger.Error("save the simulator's state", "error", err)
	}
}
