package main

import "testing"

func TestShipsAreGenerated(t *testing.T) {
	if len(ships) != 2 || ships[0] != "Cutty Sark" {
		t.Errorf("ships: %q", ships)
	}
}
