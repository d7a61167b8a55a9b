package diagnose

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/checks/health"
)

// Area is what a finding is about.
type Area string

// The areas, in the order in which their findings are told: what cannot be reached first, what it may have complained
// of last.
const (
	AreaReach   Area = "reach"
	AreaCluster Area = "cluster" // partitions and links
	AreaProcess Area = "process"
	AreaCrash   Area = "crash" // crash dumps, and nodes that ended
	AreaLog     Area = "log"
	AreaHealth  Area = "health" // a check of package health, where nothing above tells the same
)

// Level says how much a finding matters now.
type Level string

// The levels, in the order in which they are told.
const (
	Fail Level = "fail"
	Warn Level = "warn" // it may become wrong: a warning of package health
	Past Level = "past" // it was recovered from: somebody may want to know why it happened
)

// Finding is one thing that is wrong.
type Finding struct {
	Area  Area   `json:"area"`
	Level Level  `json:"level"`
	Node  string `json:"node,omitempty"` // "": of the cluster, or of several
	checks.Finding
}

// NodeReport is what is known of one node.
type NodeReport struct {
	Node      string    `json:"node"`
	Down      string    `json:"down,omitempty"` // what whoever runs it has seen of its end
	Reached   bool      `json:"reached"`        // the ladder was climbed up to the last rung, or to the last but one
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
	Cause  string    `json:"cause,omitempty"` // of a crash, as far as that can be said
	Bad    bool      `json:"bad"`             // it is what a diagnosis looks for: a crash

	Change Change `json:"-"` // of the node's life
}

// Change is what an event says of whether a node can be reached.
type Change int

// The changes.
const (
	NoChange Change = iota
	Started         // its process runs
	Ready           // it is a node of the cluster
	Left            // its distribution has ended, or its process has
)

// Report is a diagnosis.
type Report struct {
	OK       bool           `json:"ok"` // nothing was found that is wrong now: no finding has the level fail
	Time     time.Time      `json:"time"`
	Findings []Finding      `json:"findings"`
	Nodes    []NodeReport   `json:"nodes"`
	Links    []Traffic      `json:"links"`
	Parts    [][]string     `json:"partitions"` // the groups of nodes that see each other; one if all is well
	Logs     Logs           `json:"logs"`
	Dumps    []Dump         `json:"crash_dumps"`
	Events   []Event        `json:"events"`
	Health   *health.Report `json:"health,omitempty"` // the matrix; nil if no node was asked
	Millis   float64        `json:"ms"`

	lives map[string]lives
}

// order sorts the findings by level and area, and decides.
func (r *Report) order() {
	areas := []Area{AreaReach, AreaCluster, AreaHealth, AreaProcess, AreaCrash, AreaLog}
	levels := []Level{Fail, Warn, Past}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(slices.Index(levels, a.Level)-slices.Index(levels, b.Level), slices.Index(areas, a.Area)-slices.Index(areas, b.Area))
	})
	r.OK = !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Level == Fail })
}

func (r *Report) add(area Area, level Level, node string, f *checks.Finding) {
	r.Findings = append(r.Findings, Finding{Area: area, Level: level, Node: node, Finding: *f})
}

// has tells whether there is a finding in an area that is of this node, or of the cluster if it is "".
func (r *Report) has(area Area, node string) bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Area == area && f.Node == node })
}

// Fate says in two words what has become of a node that is known to be down: "does not run".
func (r *Report) Fate(node string) string {
	for _, f := range r.Findings {
		if f.Area == AreaReach && f.Node == node {
			return strings.TrimPrefix(f.What, node+" ")
		}
	}
	return "down"
}

// node returns what is known of a node of the cluster, nil if it is none.
func (r *Report) node(name string) *NodeReport {
	for i := range r.Nodes {
		if r.Nodes[i].Node == name {
			return &r.Nodes[i]
		}
	}
	return nil
}
