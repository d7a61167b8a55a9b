package diagnose

import (
	"slices"
	"time"

	"github.com/beamctl/beamctl/checks"
)

// Area is what a finding is about.
type Area string

// The areas, in the order in which their findings are told: what cannot be reached first, what it may have complained of last.
const (
	AreaReach   Area = "reach"
	AreaCluster Area = "cluster" // partitions and links
	AreaProcess Area = "process"
	AreaCrash   Area = "crash" // crash dumps, and nodes that ended
	AreaLog     Area = "log"
)

// Finding is one thing that is wrong.
type Finding struct {
	Area Area   `json:"area"`
	Node string `json:"node,omitempty"` // "": of the cluster, or of several
	checks.Finding
}

// NodeReport is what is known of one node.
type NodeReport struct {
	Node      string    `json:"node"`
	Reached   bool      `json:"reached"` // the ladder was climbed up to the last rung, or to the last but one
	Ladder    []Rung    `json:"ladder"`
	Release   string    `json:"otp,omitempty"`
	TickTime  string    `json:"net_ticktime,omitempty"`                   // as the node says it: 60
	Overlap   string    `json:"prevent_overlapping_partitions,omitempty"` // true, false, or "" if the release has no such setting
	Sees      []string  `json:"sees"`                                     // visible nodes that it is connected with
	Top       *Top      `json:"top,omitempty"`
	Witnesses []Witness `json:"witnesses,omitempty"` // of a node that cannot be reached: what others say
}

// Event is something that happened to a node, as whoever runs the cluster has recorded it.
type Event struct {
	Time   time.Time `json:"time"`
	Node   string    `json:"node,omitempty"`
	What   string    `json:"what"`
	Detail string    `json:"detail,omitempty"`
	Bad    bool      `json:"bad"` // it is what a diagnosis looks for: a crash
}

// Report is a diagnosis.
type Report struct {
	OK       bool         `json:"ok"` // nothing was found
	Time     time.Time    `json:"time"`
	Findings []Finding    `json:"findings"`
	Nodes    []NodeReport `json:"nodes"`
	Links    []Traffic    `json:"links"`
	Parts    [][]string   `json:"partitions"` // the groups of nodes that see each other; one if all is well
	Logs     Logs         `json:"logs"`
	Dumps    []Dump       `json:"crash_dumps"`
	Events   []Event      `json:"events"`
	Millis   float64      `json:"ms"`
}

// order sorts the findings by area, and decides.
func (r *Report) order() {
	rank := []Area{AreaReach, AreaCluster, AreaProcess, AreaCrash, AreaLog}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return slices.Index(rank, a.Area) - slices.Index(rank, b.Area) })
	r.OK = len(r.Findings) == 0
}

func (r *Report) add(area Area, node string, f *checks.Finding) {
	r.Findings = append(r.Findings, Finding{Area: area, Node: node, Finding: *f})
}
