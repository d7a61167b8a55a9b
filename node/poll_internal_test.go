package node

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// Lone calls poll but for one of pollEvery, and after one in vain not for as many.
func TestMayPoll(t *testing.T) {
	var l link
	turns := func(n int) string {
		var s strings.Builder
		for range n {
			s.WriteByte("-p"[map[bool]int{true: 1}[l.mayPoll()]])
		}
		return s.String()
	}
	round := strings.Repeat("p", pollEvery-1) + "-"
	assert.Equal(t, round+round+"p", turns(2*pollEvery+1))
	l.polledInVain()
	assert.Equal(t, strings.Repeat("-", pollEvery)+round, turns(2*pollEvery))
}
