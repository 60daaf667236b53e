//go:build soak

package main

import (
	"flag"
	"fmt"
	"slices"
	"testing"
)

var soakRestores = flag.Int("restores", 12, "how often the catalog is taken back, in a way drawn by lot; 0 for never")

// restores restores one catalog again and again, each time in a random way, while schools sign up between.
func restores(t *testing.T) {
	draw, ways := newRand(1<<20), slices.Concat(logicalRestorations, physicalRestorations)
	y := newTally()
	r := newRestored(t)
	for range *soakRestores {
		way := ways[draw.IntN(len(ways))]
		if !t.Run(way.name, func(t *testing.T) { r.run(t, way) }) {
			y.fail("failed", "%s", way.name)
		}
		y.add(way.name, 1)
	}
	y.add("schools that signed up", len(r.owners))
	y.print(fmt.Sprintf("restored catalogs: %d", *soakRestores))
}
