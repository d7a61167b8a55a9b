package checks

import "strings"

// typos is how many letters a slip of the fingers may change; at most half of a name are.
const typos = 2

// Nearest returns the one of names that word is likely to be a typo of, "" if none is.
func Nearest(word string, names []string) string {
	best, least := "", typos+1
	for _, n := range names {
		if d := distance(strings.ToLower(word), strings.ToLower(n)); d < least && 2*d <= max(len(word), len(n)) {
			best, least = n, d
		}
	}
	return best
}

// distance counts the characters to change, add or remove to make b of a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
