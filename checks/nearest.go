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

// distance counts the characters to change, add, remove, or swap with the next, to make b of a (optimal string alignment).
func distance(a, b string) int {
	last, row, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next[0] = i + 1
		for j := range len(b) {
			cost := row[j]
			if a[i] != b[j] {
				cost++
			}
			next[j+1] = min(cost, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], last[j-1]+1)
			}
		}
		last, row, next = row, next, last
	}
	return row[len(b)]
}
