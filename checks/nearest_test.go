package checks_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/beamctl/beamctl/checks"
)

func TestNearest(t *testing.T) {
	names := []string{"rabbit", "ejabberd", "a"}
	assert.Equal(t, "rabbit", checks.Nearest("rabit", names))
	assert.Equal(t, "rabbit", checks.Nearest("Rabbti", names))
	assert.Equal(t, "ejabberd", checks.Nearest("ejabber", names))
	assert.Empty(t, checks.Nearest("rab", names))
	assert.Empty(t, checks.Nearest("b", names), "another letter is another name")
	assert.Empty(t, checks.Nearest("foo", []string{"log"}), "most letters are others")
	assert.Equal(t, "log", checks.Nearest("lo", []string{"log"}))
	assert.Equal(t, "stop", checks.Nearest("sotp", []string{"stop"}))
	assert.Equal(t, "env", checks.Nearest("evn", []string{"ebin", "env"}))
	assert.Empty(t, checks.Nearest("", nil))
}
