//go:build dev

package main

import (
	"cmp"
	"crypto/rand"
	"net"

	"homeroom/auth0/auth0test"
)

// application is what the service is to the simulator, for people who sign up with a browser. There is none where the logins
// are kept elsewhere, or where the service has no port of its own and so does not know where people come back to.
func (s settings) application(environ []string) []auth0test.Application {
	from, _ := readEnvironment(environ) // what is wrong with it is told when the whole configuration is read
	vars := from.values
	elsewhere := cmp.Or(vars["HOMEROOM_IDENTITY_PROVIDER"], "auth0") != "auth0" || vars["AUTH0_DOMAIN"] != "" || vars["AUTH0_BASE_URL"] != ""
	host, port, err := net.SplitHostPort(cmp.Or(vars["HOMEROOM_ADDR"], "127.0.0.1:8080"))
	if err != nil || port == "0" || elsewhere {
		for _, name := range []string{"HOMEROOM_HOSTED_CLIENT_ID", "HOMEROOM_HOSTED_CLIENT_SECRET", "HOMEROOM_HOSTED_REDIRECT_URL", "HOMEROOM_HOSTED_ISSUER"} {
			delete(s, name)
		}
		return []auth0test.Application{}
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	app := auth0test.DefaultApplication()
	app.Secret = cmp.Or(s["HOMEROOM_HOSTED_CLIENT_SECRET"], rand.Text())
	at := func(host string) string { return "http://" + net.JoinHostPort(host, port) }
	app.Callbacks = []string{at(host) + "/callback", at("localhost") + "/callback"}
	app.LogoutURLs = []string{at(host) + "/docs", at("localhost") + "/docs"}
	s["HOMEROOM_HOSTED_CLIENT_ID"], s["HOMEROOM_HOSTED_CLIENT_SECRET"], s["HOMEROOM_HOSTED_REDIRECT_URL"] = app.ClientID, app.Secret, app.Callbacks[0]
	s["HOMEROOM_HOSTED_RATE"] = "off"
	return []auth0test.Application{app}
}
