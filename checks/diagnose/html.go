package diagnose

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"sync"
	"time"
)

//go:embed report.html
var reportHTML string

// page is the report as one file: no script, no font and no picture from elsewhere. The template escapes all that nodes
// have said.
var page = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("report").Funcs(template.FuncMap{
		"size": Size,
		"at": func(t time.Time) string {
			if t.IsZero() {
				return ""
			}
			return t.UTC().Format("2006-01-02 15:04:05")
		},
		"rate": func(v float64) string { return fmt.Sprintf("%.0f", v) },
	}).Parse(reportHTML))
})

// HTML writes the report as one page, with plots.
func (r *Report) HTML(w io.Writer) error {
	return page().Execute(w, struct {
		*Report
		Graph    graph
		Timeline timeline
		Bars     []bars
	}{r, r.graph(), r.timeline(), r.bars()})
}

// graph is who sees whom: nodes on a circle.
type graph struct {
	Width, Height int
	Dots          []dot
	Edges         []edge
}

type dot struct {
	X, Y, LabelX, LabelY int
	Anchor, Name, Class  string
}

type edge struct {
	X1, Y1, X2, Y2 int
	Class, Title   string
}

func (r *Report) graph() graph {
	const radius, border = 130, 240
	g := graph{Width: 2 * (radius + border), Height: 2*radius + 80}
	n := len(r.Nodes)
	for i, node := range r.Nodes {
		angle := 2*math.Pi*float64(i)/float64(max(n, 1)) - math.Pi/2
		sin, cos := math.Sincos(angle)
		d := dot{
			X: g.Width/2 + int(radius*cos), Y: g.Height/2 + int(radius*sin),
			LabelX: g.Width/2 + int((radius+14)*cos), LabelY: g.Height/2 + int((radius+18)*sin) + 4, Name: node.Node, Anchor: "middle", Class: "ok",
		}
		if !node.Reached {
			d.Class = "bad"
		}
		if cos > 0.2 {
			d.Anchor = "start"
		} else if cos < -0.2 {
			d.Anchor = "end"
		}
		g.Dots = append(g.Dots, d)
	}
	for i := range r.Nodes {
		for j := i + 1; j < n; j++ {
			if e, ok := r.edge(i, j, g.Dots); ok {
				g.Edges = append(g.Edges, e)
			}
		}
	}
	return g
}

// edge tells what two nodes say of each other; nothing, if neither was asked.
func (r *Report) edge(i, j int, dots []dot) (edge, bool) {
	a, b := &r.Nodes[i], &r.Nodes[j]
	if !a.Reached && !b.Reached {
		return edge{}, false
	}
	ij, ji := slices.Contains(a.Sees, b.Node), slices.Contains(b.Sees, a.Node)
	e := edge{X1: dots[i].X, Y1: dots[i].Y, X2: dots[j].X, Y2: dots[j].Y, Title: a.Node + " – " + b.Node}
	switch {
	case (ij || !a.Reached) && (ji || !b.Reached):
		e.Class = "ok"
	case ij || ji:
		e.Class, e.Title = "half", e.Title+": only one sees the other"
	default:
		e.Class, e.Title = "bad", e.Title+": not connected"
	}
	return e, true
}

// timeline is when the logs complained, and when nodes ended: a row for each.
type timeline struct {
	Width, Height int
	From, To      time.Time
	Rows          []row
}

type row struct {
	Y     int
	Label string
	Class string
	Marks []mark
}

type mark struct {
	X     int
	Title string
}

// maxRows bounds the plot, not the table below it.
const maxRows = 15

func (r *Report) timeline() timeline {
	const left, width, rowHeight = 360, 560, 22
	t := timeline{Width: left + width + 20}
	see := func(at time.Time) {
		if t.From.IsZero() || at.Before(t.From) {
			t.From = at
		}
		if at.After(t.To) {
			t.To = at
		}
	}
	for _, e := range r.Events {
		see(e.Time)
	}
	for i := range r.Logs.Groups {
		for _, at := range r.Logs.Groups[i].times {
			see(at)
		}
	}
	place := func(at time.Time) int {
		whole := t.To.Sub(t.From)
		if whole <= 0 {
			return left + width/2
		}
		return left + int(float64(width)*float64(at.Sub(t.From))/float64(whole))
	}
	if len(r.Events) > 0 {
		e := row{Label: "events", Class: "event"}
		for _, ev := range r.Events {
			e.Marks = append(e.Marks, mark{place(ev.Time), fmt.Sprintf("%s %s %s %s", ev.Time.Format("15:04:05.000"), ev.Node, ev.What, ev.Detail)})
		}
		t.Rows = append(t.Rows, e)
	}
	for i := range r.Logs.Groups {
		g := &r.Logs.Groups[i]
		if len(g.times) == 0 || len(t.Rows) == maxRows {
			continue
		}
		l := row{Label: label(g.Title, 52), Class: g.Level}
		for _, at := range g.times {
			l.Marks = append(l.Marks, mark{place(at), at.Format("15:04:05.000")})
		}
		t.Rows = append(t.Rows, l)
	}
	for i := range t.Rows {
		t.Rows[i].Y = 18 + i*rowHeight
	}
	t.Height = 40 + len(t.Rows)*rowHeight
	return t
}

// label cuts what would run into the plot.
func label(s string, most int) string {
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return s
}

// bars is a plot of the most expensive processes of all nodes.
type bars struct {
	Title         string
	Width, Height int
	Bars          []bar
}

type bar struct {
	Y, TextY, Length int
	Label, Value     string
}

func (r *Report) bars() []bars {
	return []bars{
		r.barsOf("memory", func(t *Top) []Process { return t.Memory }, func(p *Process) float64 { return float64(p.Memory) }, func(v float64) string { return Size(int64(v)) }),
		r.barsOf("reductions per second", func(t *Top) []Process { return t.Reductions }, func(p *Process) float64 { return p.Reductions }, func(v float64) string { return fmt.Sprintf("%.0f", v) }),
		r.barsOf("messages unread", func(t *Top) []Process { return t.Mailbox }, func(p *Process) float64 { return float64(p.Mailbox) }, func(v float64) string { return fmt.Sprintf("%.0f", v) }),
	}
}

func (r *Report) barsOf(title string, of func(*Top) []Process, value func(*Process) float64, text func(float64) string) bars {
	const most, width, step = 10, 420, 20
	b := bars{Title: title, Width: 960}
	ranked := r.Ranked(of, value, most)
	for i, p := range ranked {
		v := value(&p.Process)
		length := 1
		if greatest := value(&ranked[0].Process); greatest > 0 {
			length = max(1, int(width*v/greatest))
		}
		b.Bars = append(b.Bars, bar{Y: i * step, TextY: i*step + 13, Length: length, Label: label(p.Node+"  "+p.Who(), 64), Value: text(v)})
	}
	b.Height = len(b.Bars)*step + 4
	return b
}

// NodeProcess is a process of a node.
type NodeProcess struct {
	Node string
	Process
}

// Ranked returns the most expensive processes of all nodes together.
func (r *Report) Ranked(of func(*Top) []Process, value func(*Process) float64, most int) []NodeProcess {
	var all []NodeProcess
	for i := range r.Nodes {
		if r.Nodes[i].Top == nil {
			continue
		}
		for _, p := range of(r.Nodes[i].Top) {
			all = append(all, NodeProcess{r.Nodes[i].Node, p})
		}
	}
	slices.SortStableFunc(all, func(a, b NodeProcess) int {
		switch va, vb := value(&a.Process), value(&b.Process); {
		case va > vb:
			return -1
		case va < vb:
			return 1
		}
		return 0
	})
	return all[:min(most, len(all))]
}
