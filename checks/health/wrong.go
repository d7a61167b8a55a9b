package health

import (
	"fmt"
	"slices"
	"strings"

	"github.com/beamctl/beamctl/checks"
)

// Complaint is something that is wrong, with one node or with several alike.
type Complaint struct {
	Nodes []string // in the order of the report
	Cell  Cell     // of each of them
}

// Wrong is everything that is wrong, failures first; what nodes say alike is said once.
func (r *Report) Wrong() []*Complaint {
	var all []*Complaint
	for _, row := range r.Rows {
		for _, c := range row.Cells {
			if c.Status != Warn && c.Status != Fail {
				continue
			}
			i := slices.IndexFunc(all, func(f *Complaint) bool {
				return f.Cell.Status == c.Status && f.Cell.Check == c.Check && f.Cell.Saw == c.Saw && f.Cell.Cause == c.Cause && f.Cell.Fix == c.Fix
			})
			if i < 0 {
				i, all = len(all), append(all, &Complaint{Cell: c})
			}
			all[i].Nodes = append(all[i].Nodes, row.Node)
		}
	}
	slices.SortStableFunc(all, func(a, b *Complaint) int { return rank(a.Cell.Status) - rank(b.Cell.Status) })
	return all
}

func rank(s Status) int {
	if s == Fail {
		return 0
	}
	return 1
}

// ManyNodes is how many nodes are named before they are only counted.
const ManyNodes = 4

// Who names the nodes.
func (f *Complaint) Who() string {
	if len(f.Nodes) <= ManyNodes {
		return strings.Join(f.Nodes, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(f.Nodes[:ManyNodes-1], ", "), len(f.Nodes)-ManyNodes+1)
}

// What names the check and the nodes.
func (f *Complaint) What() string { return f.Who() + " " + f.Cell.Check }

// Finding says it in the form in which beamctl tells what is wrong.
func (f *Complaint) Finding() *checks.Finding {
	return &checks.Finding{What: f.What(), Saw: f.Cell.Saw, Cause: f.Cell.Cause, Fix: f.Cell.Fix}
}
