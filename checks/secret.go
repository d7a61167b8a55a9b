package checks

import "strings"

// SecretName tells whether what has that name (an environment variable, a setting) is likely to be a secret.
func SecretName(name string) bool {
	name = strings.ToUpper(name)
	for _, word := range []string{"SECRET", "PASS", "TOKEN", "COOKIE", "CREDENTIAL", "KEY", "PRIVATE", "AUTH"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}
