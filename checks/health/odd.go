package health

import (
	"strings"

	"github.com/beamctl/beamctl/dist/etf"
)

// odd says whether mine is the opinion that others contradict: where members disagree, those who are in the minority are at
// fault, or all if there is no majority. others need not hold mine.
func odd[T comparable](mine T, others []T) bool {
	count := map[T]int{mine: 1}
	for _, o := range others {
		count[o]++
	}
	for v, n := range count {
		if v != mine && n >= count[mine] {
			return true
		}
	}
	return false
}

// shown is how many names a cell lists before it only counts the rest: it is one line of a table.
const shown = 3

// listed joins names, or what else fits a cell.
func listed(names []string) string {
	if len(names) <= shown {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:shown], ", ") + ", and " + count(len(names)-shown, "more", "more")
}

// count is 1 node, 2 nodes.
func count(n int, one, many string) string {
	if n == 1 {
		many = one
	}
	return etf.Format(int64(n)) + " " + many
}
