package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"math"
	mrand "math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// conceal measures whether the time of an answer reveals that an e-mail has an account, with account-enumeration
// protection: sign-ups with new and with known addresses in random order, as an attacker would send them.
func conceal(ctx context.Context, b *testbed) (results, error) {
	ours, err := newHomeroom(ctx, b, "catalog_of_secrets", b.migrations, 0)
	if err != nil {
		return results{}, err
	}
	defer ours.close()
	if err := ours.conceal(); err != nil {
		return results{}, err
	}
	front, err := ours.serve()
	if err != nil {
		return results{}, err
	}
	defer front.server.Close()

	known, err := ours.knownAddresses(ctx, b.tries/2)
	if err != nil {
		return results{}, err
	}
	took, err := ours.askAll(ctx, front, known)
	if err != nil {
		return results{}, err
	}
	chance, z := ranks(took[false], took[true])
	return results{
		title: "WHETHER AN E-MAIL HAS AN ACCOUNT",
		lines: []line{
			describe("sign-up with a new address", mostClients, took[false]),
			describe("sign-up with an address that has an account", mostClients, took[true]),
		},
		verdicts: []verdict{
			atMost("a guess from the time is right, one of two addresses new", 100*max(chance, 1-chance), "%", 53),
			{What: "  deviation from chance, in standard errors (Mann-Whitney)", Value: z, Unit: "σ"},
		},
	}, nil
}

// askAll signs up with known addresses and as many new ones, in random order. It returns the times of the answers, by whether the
// address was known.
func (h *homeroom) askAll(ctx context.Context, front *httpFront, known []string) (map[bool][]time.Duration, error) {
	addresses := slices.Clone(known)
	for len(addresses) < 2*len(known) {
		addresses = append(addresses, strings.ToLower(rand.Text())+"@school.example")
	}
	mrand.Shuffle(len(addresses), func(i, j int) { addresses[i], addresses[j] = addresses[j], addresses[i] })
	isKnown := map[string]bool{}
	for _, address := range known {
		isKnown[address] = true
	}
	took := map[bool][]time.Duration{}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(mostClients)
	for i, address := range addresses {
		group.Go(func() error {
			d, err := front.ask(ctx, address)
			mu.Lock()
			defer mu.Unlock()
			if i >= len(addresses)/20 { // the first ones are a warm-up
				took[isKnown[address]] = append(took[isKnown[address]], d)
			}
			return err
		})
	}
	return took, group.Wait()
}

// ask signs up, and returns the time of the answer.
func (f *httpFront) ask(ctx context.Context, address string) (time.Duration, error) {
	body, err := json.Marshal(schoolForm{Email: address, Password: "Chalk-and-Cheese-42", SchoolName: "Lincoln High"})
	if err != nil {
		return 0, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	began := time.Now()
	response, err := f.client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	took := time.Since(began)
	if err != nil || response.StatusCode != http.StatusAccepted {
		return 0, fmt.Errorf("the sign-up was answered %s: %s, %w", response.Status, text, err)
	}
	return took, nil
}

// knownAddresses creates accounts, and returns their addresses.
func (h *homeroom) knownAddresses(ctx context.Context, n int) ([]string, error) {
	known := make([]string, n)
	for i := range known {
		known[i] = strings.ToLower(rand.Text()) + "@school.example"
	}
	_, err := h.catalog.Pool().Exec(ctx, `
		with school as (
			insert into tenants (id, server, database, lineage, state, name, slug)
			select gen_random_uuid(), name, 't_aaaaaaaaaaaaaaaaaaaaaaaaaa', 'bench', 'ready', 'Known', 'known'
			from servers
			limit 1
			returning id
		)
		insert into users (id, tenant_id, email, identity_id, state)
		select gen_random_uuid(), school.id, email, 'auth0|' || gen_random_uuid(), 'active'
		from school, unnest($1::text[]) email`, known)
	return known, err
}

// ranks compares two samples by the ranks of their values: how often one of the first is larger than one of the second, and
// how many standard errors that is from one half (the normal approximation of the Mann-Whitney U test).
func ranks(first, second []time.Duration) (chance, z float64) {
	all := slices.Concat(first, second)
	slices.Sort(all)
	var sum float64
	for _, d := range first {
		low, _ := slices.BinarySearch(all, d)
		high, _ := slices.BinarySearch(all, d+1)
		sum += float64(low+high+1) / 2
	}
	n, m := float64(len(first)), float64(len(second))
	chance = (sum - n*(n+1)/2) / (n * m)
	deviation := (n + m + 1) / (12 * n * m)
	return chance, (chance - 0.5) / math.Sqrt(deviation)
}
