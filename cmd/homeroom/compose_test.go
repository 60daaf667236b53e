package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"gopkg.in/yaml.v3"
)

// composeFile has the parts of docker-compose.yml that the tests read.
type composeFile struct {
	Services map[string]composeService
	Volumes  map[string]any
	Networks map[string]struct{ Internal bool }
	Secrets  map[string]struct{ File string }
}

type composeService struct {
	Build       composeBuild
	Image       string
	Profiles    []string
	Command     []string
	Environment map[string]string
	Secrets     []string
	Volumes     []string
	Networks    []string
	ReadOnly    bool                                  `yaml:"read_only"`
	CapDrop     []string                              `yaml:"cap_drop"`
	SecurityOpt []string                              `yaml:"security_opt"`
	DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
}

// composeBuild is the source of an image: a folder, or a folder and a stage of its Dockerfile.
type composeBuild struct{ Context, Target string }

func (b *composeBuild) UnmarshalYAML(value *yaml.Node) error {
	if value.Kind == yaml.ScalarNode {
		return value.Decode(&b.Context)
	}
	type plain composeBuild
	return value.Decode((*plain)(b))
}

// root is the folder of the checkout.
const root = "../.."

func readCompose(t *testing.T) composeFile {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docker-compose.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var file composeFile
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	return file
}

// interpolation is the part of Compose's syntax that docker-compose.yml uses: ${NAME:-otherwise} and
// ${NAME:+instead}.
var interpolation = regexp.MustCompile(`\$\{([A-Z0-9_]+):([-+])([^}]*)\}`)

// interpolate replaces variables as Compose does.
func interpolate(text string, vars map[string]string) string {
	return interpolation.ReplaceAllStringFunc(text, func(match string) string {
		parts := interpolation.FindStringSubmatch(match)
		value := vars[parts[1]]
		if (parts[2] == "+") == (value != "") {
			return parts[3]
		}
		return value
	})
}

// known reports whether the program reads a variable.
func known(name string) bool {
	plain, isFile := strings.CutSuffix(name, "_FILE")
	return slices.ContainsFunc(variables(), func(v variable) bool {
		return v.Name == name || isFile && v.Secret && v.Name == plain
	})
}

func TestComposeUsesVariablesAndCommandsThatExist(t *testing.T) {
	t.Parallel()
	ours := 0
	for name, service := range readCompose(t).Services {
		if service.Build.Context == "" {
			continue
		}
		ours++
		for variable := range service.Environment {
			if !known(variable) {
				t.Errorf("service %s sets %s, which Homeroom does not read", name, variable)
			}
		}
		parses(t, service.Command)
		if want := map[string]string{"simulator": "development"}[name]; service.Build.Target != want {
			t.Errorf("service %s is built as %q, want %q", name, service.Build.Target, want)
		}
	}
	if ours != 2 {
		t.Errorf("%d services are built from this checkout, want the service and the simulator", ours)
	}
}

// parses checks that a command line is one of Homeroom's.
func parses(t *testing.T, args []string) {
	t.Helper()
	parser, err := kong.New(&commands{}, kong.Name("homeroom"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(args); err != nil {
		t.Errorf("homeroom %s: %v", strings.Join(args, " "), err)
	}
}

func TestComposeGivesServicesNoMoreThanTheyNeed(t *testing.T) {
	t.Parallel()
	file := readCompose(t)
	for name, service := range file.Services {
		if !service.ReadOnly || !slices.Equal(service.CapDrop, []string{"ALL"}) || !slices.Contains(service.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("service %s may write to its image, or has rights left: %+v", name, service)
		}
		if len(service.Networks) == 0 {
			t.Errorf("service %s is in the network of all", name)
		}
		for variable := range service.Environment {
			if strings.HasSuffix(variable, "PASSWORD") || strings.HasSuffix(variable, "SECRET") && name != "simulator" {
				t.Errorf("service %s has a secret in its environment: %s", name, variable)
			}
		}
	}
	if nets := file.Services["postgres"].Networks; !slices.Equal(nets, []string{"database"}) || !file.Networks["database"].Internal {
		t.Errorf("Postgres is in %q, of %+v", nets, file.Networks)
	}
}

func TestComposeRefersToWhatItHas(t *testing.T) {
	t.Parallel()
	file := readCompose(t)
	for name, service := range file.Services {
		for variable, value := range service.Environment {
			secret, isSecret := strings.CutPrefix(value, "/run/secrets/")
			if strings.HasSuffix(variable, "_FILE") != isSecret || isSecret && !slices.Contains(service.Secrets, secret) {
				t.Errorf("service %s: %s=%s is not one of its secrets", name, variable, value)
			}
		}
		for _, secret := range service.Secrets {
			if want := "./secrets/" + secret; file.Secrets[secret].File != want {
				t.Errorf("service %s uses the secret %s, whose file is %q, want %s", name, secret, file.Secrets[secret].File, want)
			}
		}
		for _, volume := range service.Volumes {
			source, _, _ := strings.Cut(volume, ":")
			_, named := file.Volumes[source]
			if _, err := os.Stat(filepath.Join(root, source)); !named && err != nil {
				t.Errorf("service %s mounts %s: %v", name, source, err)
			}
		}
		for other, wait := range service.DependsOn {
			if _, ok := file.Services[other]; !ok || wait.Condition == "" {
				t.Errorf("service %s depends on %s, under the condition %q", name, other, wait.Condition)
			}
		}
	}
}

// The script makes every secret of the file, and the two secrets that must agree do: the role's password and the
// catalog's URL.
func TestComposeSecretsMakeAConfiguration(t *testing.T) {
	t.Parallel()
	folder := makeSecrets(t)
	file := readCompose(t)
	for name := range file.Secrets {
		if _, err := os.Stat(filepath.Join(folder, name)); err != nil {
			t.Errorf("make-secrets does not make %s", name)
		}
	}
	for _, test := range []struct {
		name, issuer, clientID string
		vars                   map[string]string
	}{
		{"simulator", "http://simulator:8090", "homeroom-dev", nil},
		{"Auth0", "https://lincoln.eu.auth0.com", "abc", map[string]string{
			"AUTH0_DOMAIN": "lincoln.eu.auth0.com", "AUTH0_CLIENT_ID": "abc", "AUTH0_AUDIENCE": "https://api.lincoln.example",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var environ []string
			for name, value := range file.Services["homeroom"].Environment {
				value = interpolate(value, test.vars)
				environ = append(environ, name+"="+strings.Replace(value, "/run/secrets", folder, 1))
			}
			cfg, err := readConfig(environ)
			if err != nil {
				t.Fatal(err)
			}
			if err := cfg.requireIdentity(); err != nil {
				t.Error(err)
			}
			if cfg.Auth0BaseURL != test.issuer || cfg.Auth0ClientID != test.clientID {
				t.Errorf("Auth0 is %s with the client %s", cfg.Auth0BaseURL, cfg.Auth0ClientID)
			}
			password, err := os.ReadFile(filepath.Join(folder, "homeroom_password"))
			if err != nil || !strings.Contains(cfg.CatalogURL.Reveal(), ":"+string(password)+"@postgres:") {
				t.Errorf("the catalog's URL has another password than the role (%v)", err)
			}
		})
	}
}

func TestDockerfile(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	module, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(module)
	if !strings.Contains(string(text), "FROM golang:"+string(version[1])+"-") {
		t.Errorf("the image is not built with Go %s, which go.mod asks for", version[1])
	}
	for _, match := range regexp.MustCompile(`(?m)^ENV ([A-Z0-9_]+)=`).FindAllSubmatch(text, -1) {
		if !known(string(match[1])) {
			t.Errorf("the image sets %s, which Homeroom does not read", match[1])
		}
	}
	command := regexp.MustCompile(`(?m)^CMD (\[.*\])$`).FindSubmatch(text)
	if command == nil {
		t.Fatal("the image has no command")
	}
	var args []string
	if err := yaml.Unmarshal(command[1], &args); err != nil {
		t.Fatal(err)
	}
	parses(t, args)
}

// The files that the builder gets must be enough to build.
func TestDockerignoreKeepsEveryPackage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, ".dockerignore"))
	if err != nil {
		t.Fatal(err)
	}
	kept := strings.Split(string(text), "\n")
	for _, imported := range append(arrows["cmd/homeroom"], "cmd/homeroom") {
		top, _, _ := strings.Cut(imported, "/")
		if !slices.Contains(kept, "!"+top) {
			t.Errorf(".dockerignore leaves out %s, which the program imports", top)
		}
	}
}
