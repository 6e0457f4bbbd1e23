package ship_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/slipway-ci/slipway/ci/ship"
)

func TestShip(t *testing.T) {
	needsEngine(t)
	m := newModule(t, "service", nil)
	m.ships(ship.Ship)
	assert.Empty(t, listing(t, m.dist()))
}
