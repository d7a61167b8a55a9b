package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/beamctl/beamctl/checks/diagnose"
)

// What fits a screen; -o json and html have all.
const (
	shownGroups    = 12
	shownProcesses = 5
	shownLinks     = 8
)

// showDiagnosis prints the report as text: what was looked at, and at the end, where one sees it, what is wrong.
func (a *app) showDiagnosis(r *diagnose.Report) error {
	p := &diagnosisPrinter{w: a.out, width: a.outWidth(), on: a.color(a.outTTY), r: r}
	for _, part := range []func() error{p.nodes, p.ladders, p.partitions, p.logs, p.dumps, p.processes, p.links, p.findings} {
		if err := part(); err != nil {
			return err
		}
	}
	if r.OK {
		nothing := "nothing found"
		if len(r.Findings) > 0 {
			nothing = "nothing is wrong now"
		}
		a.say("%s in %d nodes, %d logs and %d crash dumps", paint(a.color(a.errTTY), green, nothing), len(r.Nodes), len(r.Logs.Files), len(r.Dumps))
	}
	return nil
}

type diagnosisPrinter struct {
	w     io.Writer
	width int  // 0: it is no terminal
	on    bool // colours
	r     *diagnose.Report
	began bool
}

// section begins a table with an empty line before it.
func (p *diagnosisPrinter) section(header []string, rows [][]string, spare ...string) error {
	if len(rows) == 0 {
		return nil
	}
	p.gap()
	return table(p.w, p.width, header, rows, spare...)
}

func (p *diagnosisPrinter) gap() {
	if p.began {
		fmt.Fprintln(p.w)
	}
	p.began = true
}

func (p *diagnosisPrinter) nodes() error {
	var rows [][]string
	for i := range p.r.Nodes {
		n := &p.r.Nodes[i]
		state := paint(p.on, green, "reached")
		for _, rung := range n.Ladder {
			if n.Down != "" {
				state = paint(p.on, red, p.r.Fate(n.Node))
			} else if rung.Status == diagnose.RungFail {
				state = paint(p.on, red, "FAIL at "+rung.Name)
			}
		}
		processes, sees := "-", "-"
		if n.Top != nil {
			processes, sees = fmt.Sprint(n.Top.Processes), fmt.Sprint(len(n.Sees))
		}
		rows = append(rows, []string{n.Node, state, orDash(n.Release), processes, sees})
	}
	return p.section([]string{"NODE", "LADDER", "OTP", "PROCESSES", "SEES"}, rows, "PROCESSES", "OTP")
}

// ladders shows every rung of the nodes on whose ladder one broke, unless it is known why.
func (p *diagnosisPrinter) ladders() error {
	for i := range p.r.Nodes {
		n := &p.r.Nodes[i]
		if n.Down != "" || !slices.ContainsFunc(n.Ladder, func(r diagnose.Rung) bool { return r.Status == diagnose.RungFail }) {
			continue
		}
		var rows [][]string
		for _, r := range n.Ladder {
			status := string(r.Status)
			switch r.Status {
			case diagnose.RungOK:
				status = paint(p.on, green, status)
			case diagnose.RungFail:
				status = paint(p.on, red, "FAIL")
			case diagnose.RungUnreached, diagnose.RungSkipped:
				status = paint(p.on, dim, "-")
			}
			saw, _, _ := strings.Cut(r.Saw, "\n")
			rows = append(rows, []string{r.Name, status, saw})
		}
		if err := p.section([]string{n.Node, "", "SAW"}, rows); err != nil {
			return err
		}
	}
	return nil
}

func (p *diagnosisPrinter) partitions() error {
	if len(p.r.Parts) < 2 {
		return nil
	}
	var rows [][]string
	for i, part := range p.r.Parts {
		rows = append(rows, []string{fmt.Sprint(i + 1), strings.Join(part, " ")})
	}
	return p.section([]string{"PARTITION", "NODES"}, rows)
}

func (p *diagnosisPrinter) logs() error {
	var rows [][]string
	groups := slices.DeleteFunc(slices.Clone(p.r.Logs.Groups), func(g diagnose.Group) bool { return g.Due == g.Count })
	for i := range groups[:min(len(groups), shownGroups)] {
		g := &groups[i]
		last := "-"
		if !g.Last.IsZero() {
			last = g.Last.Local().Format("15:04:05")
		}
		level := paint(p.on, red, g.Level)
		if g.Level == "warning" {
			level = paint(p.on, yellow, g.Level)
		}
		rows = append(rows, []string{fmt.Sprint(g.Count), level, last, g.Title})
	}
	err := p.section([]string{"TIMES", "LEVEL", "LAST", "LOGGED"}, rows, "LAST")
	if more := len(groups) - shownGroups; more > 0 && err == nil {
		_, err = fmt.Fprintf(p.w, "… and %d more (-o json, -o html)\n", more)
	}
	return err
}

func (p *diagnosisPrinter) dumps() error {
	var rows [][]string
	for i := range p.r.Dumps {
		d := &p.r.Dumps[i]
		largest := "-"
		if len(d.Largest) > 0 {
			largest = d.Largest[0].Who() + " " + diagnose.Size(d.Largest[0].Memory)
		}
		rows = append(rows, []string{d.Name, fmt.Sprint(d.Processes), diagnose.Size(d.Memory["total"]), largest, orDash(d.Slogan)})
	}
	return p.section([]string{"CRASH DUMP", "PROCESSES", "MEMORY", "LARGEST", "SLOGAN"}, rows, "PROCESSES", "LARGEST")
}

func (p *diagnosisPrinter) processes() error {
	for _, kind := range []struct {
		title string
		of    func(*diagnose.Top) []diagnose.Process
		value func(*diagnose.Process) float64
		text  func(float64) string
	}{
		{"MEMORY", func(t *diagnose.Top) []diagnose.Process { return t.Memory }, func(p *diagnose.Process) float64 { return float64(p.Memory) }, func(v float64) string { return diagnose.Size(int64(v)) }},
		{"REDUCTIONS/s", func(t *diagnose.Top) []diagnose.Process { return t.Reductions }, func(p *diagnose.Process) float64 { return p.Reductions }, whole},
		{"MAILBOX", func(t *diagnose.Top) []diagnose.Process { return t.Mailbox }, func(p *diagnose.Process) float64 { return float64(p.Mailbox) }, whole},
	} {
		var rows [][]string
		for _, t := range p.r.Ranked(kind.of, kind.value, shownProcesses) {
			rows = append(rows, []string{kind.text(kind.value(&t.Process)), t.Node, t.Who(), orDash(t.Initial), orDash(t.Current)})
		}
		if err := p.section([]string{kind.title, "NODE", "PROCESS", "INITIAL CALL", "IN"}, rows, "INITIAL CALL", "IN"); err != nil {
			return err
		}
	}
	return nil
}

func whole(v float64) string { return fmt.Sprintf("%.0f", v) }

// links shows the connections with the most traffic, if there is any to speak of.
func (p *diagnosisPrinter) links() error {
	unknown := 0
	for _, t := range p.r.Links {
		if !t.Counted {
			unknown++
		}
	}
	if unknown > 0 {
		p.gap()
		fmt.Fprintf(p.w, "traffic not known: %s\n", count(unknown, "connection, of which the socket below TLS was not found", "connections, of which the sockets below TLS were not found"))
	}
	links := slices.DeleteFunc(slices.Clone(p.r.Links), func(t diagnose.Traffic) bool { return t.Out+t.In < 1024 && t.Queued == 0 })
	slices.SortStableFunc(links, func(a, b diagnose.Traffic) int {
		return int(b.Out + b.In + float64(b.Queued) - a.Out - a.In - float64(a.Queued))
	})
	var rows [][]string
	for _, t := range links[:min(len(links), shownLinks)] {
		rows = append(rows, []string{t.From, t.To, diagnose.Size(int64(t.Out)), diagnose.Size(int64(t.In)), diagnose.Size(t.Queued)})
	}
	return p.section([]string{"LINK FROM", "TO", "OUT/s", "IN/s", "QUEUED"}, rows)
}

func (p *diagnosisPrinter) findings() error {
	for i := range p.r.Findings {
		f := p.r.Findings[i].Finding
		f.What = paint(p.on, levelColors[p.r.Findings[i].Level], f.What)
		p.gap()
		if _, err := fmt.Fprintln(p.w, wrap(f.Error(), p.width)); err != nil {
			return err
		}
	}
	return nil
}

var levelColors = map[diagnose.Level]color{diagnose.Fail: red, diagnose.Warn: yellow, diagnose.Past: dim}
