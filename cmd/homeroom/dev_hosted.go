//go:build dev

package main

import (
	"cmp"
	"crypto/rand"
	"net"

	"homeroom/auth0/auth0test"
)

// application returns the OAuth application of the service, which the simulator needs for people who sign up with a
// browser. There is none with another identity provider, or where the service has no fixed port, so that its redirect
// URL is not known.
func (s settings) application(environ []string) []auth0test.Application {
	from, _ := readEnvironment(environ) // parseConfig reports what is wrong with it
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
