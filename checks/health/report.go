package health

import (
	"time"

	"github.com/beamctl/beamctl/checks"
)

// Status is what a check says of a node.
type Status string

// The statuses. Blocked is no failure of its own: the check needs something that has failed on the same node. None means
// that there is nothing to check: no mnesia, no alarm handler.
const (
	OK      Status = "ok"
	Warn    Status = "warn"
	Fail    Status = "fail"
	Blocked Status = "blocked"
	None    Status = "none"
)

// Cell is one check of one node.
type Cell struct {
	Check  string             `json:"check"`
	Group  Group              `json:"group"`
	Status Status             `json:"status"`
	Saw    string             `json:"saw"`              // the number or fact behind the status
	Cause  string             `json:"cause,omitempty"`  // for what is not ok
	Fix    string             `json:"fix,omitempty"`    // for what is not ok
	Values map[string]float64 `json:"values,omitempty"` // what was measured, in the unit that ends the name: _bytes, _ms, _ratio; else a count
	// Peers is what was measured between this node and each other one, named as Values are: rtt_ms → node → 0.2.
	Peers  map[string]map[string]float64 `json:"peers,omitempty"`
	Millis float64                       `json:"ms"` // until the check was decided

	unasked string // the check that failed, which this one needs and which is not in the report
}

// Finding says the cell in the form in which beamctl tells what is wrong.
func (c *Cell) Finding(node string) *checks.Finding {
	return &checks.Finding{What: node + " " + c.Check, Saw: c.Saw, Cause: c.Cause, Fix: c.Fix}
}

// Row is all checks of one node.
type Row struct {
	Node  string `json:"node"`
	Cells []Cell `json:"checks"`
}

// once leaves what several checks of the row tell for a check that was not asked for to the first of them; the others are blocked.
func (r *Row) once() {
	told := map[string]bool{}
	for i := range r.Cells {
		c := &r.Cells[i]
		if c.unasked == "" {
			continue
		}
		if told[c.unasked] {
			c.Status, c.Saw, c.Cause, c.Fix = Blocked, "not asked: "+c.unasked+" failed", "", ""
		}
		told[c.unasked] = true
	}
}

// Report is the matrix: a row for each node, in each a cell for each check, always all of them.
type Report struct {
	Healthy bool    `json:"healthy"` // no cell is fail or blocked
	Worst   Status  `json:"worst"`   // of all cells: ok, warn or fail
	Rows    []Row   `json:"nodes"`
	Millis  float64 `json:"ms"`
}

func (r *Report) judge() {
	r.Healthy, r.Worst = true, OK
	for _, row := range r.Rows {
		for _, c := range row.Cells {
			switch c.Status {
			case Fail, Blocked:
				r.Healthy, r.Worst = false, Fail
			case Warn:
				if r.Worst == OK {
					r.Worst = Warn
				}
			case OK, None:
			}
		}
	}
}

// Count counts the cells by status.
func (r *Report) Count() map[Status]int {
	counts := make(map[Status]int)
	for _, row := range r.Rows {
		for _, c := range row.Cells {
			counts[c.Status]++
		}
	}
	return counts
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
