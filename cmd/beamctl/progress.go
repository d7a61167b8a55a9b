package main

import (
	"fmt"
	"strings"
	"sync"

	"github.com/beamctl/beamctl/launcher"
)

// progress shows how far each node is: on a terminal one line for each, redrawn; else a line for each step.
type progress struct {
	a     *app
	names []string
	lines bool // a line for each step, also on a terminal: what happens is not one step for each node

	mu     sync.Mutex
	stages map[string]launcher.Event
	drawn  bool
}

func (a *app) newProgress(nodes []launcher.NodeSpec) *progress {
	p := &progress{a: a, stages: make(map[string]launcher.Event)}
	for _, n := range nodes {
		p.names = append(p.names, n.Name)
	}
	return p
}

func (p *progress) show(e launcher.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := p.a
	switch {
	case a.quiet:
	case e.Node == "":
		switch e.Stage {
		case launcher.StageBuilding:
			a.say("building: %s", e.Detail)
		case launcher.StageStopping:
			p.drawn = false // what follows is another list
			p.stages = make(map[string]launcher.Event)
		default:
		}
	case a.errTTY && !p.lines && len(p.names) < maxLive:
		p.stages[e.Node] = e
		p.redraw()
	default:
		a.say("%s  %s", e.Node, stageText(e, false))
	}
}

// maxLive is how many nodes a terminal surely has lines for; more are shown line by line.
const maxLive = 20

// redraw writes a line for each node over those written before.
func (p *progress) redraw() {
	var b strings.Builder
	if p.drawn {
		fmt.Fprintf(&b, "\x1b[%dA", len(p.names))
	}
	p.drawn = true
	for _, name := range p.names {
		line := fmt.Sprintf("  %s  %s", name, stageText(p.stages[name], false))
		if p.a.width > 0 && len(line) >= p.a.width { // a wrapped line would be two
			line = line[:p.a.width-1]
		}
		// Coloured only once it is cut: a cut sequence would colour the rest of the terminal.
		if text := stageText(p.stages[name], false); strings.HasSuffix(line, text) {
			line = strings.TrimSuffix(line, text) + stageText(p.stages[name], p.a.color(true))
		}
		b.WriteString("\r\x1b[2K" + line + "\n")
	}
	fmt.Fprint(p.a.err, b.String())
}

func stageText(e launcher.Event, colored bool) string {
	text := string(e.Stage)
	if e.Detail != "" {
		text += " (" + e.Detail + ")"
	}
	switch e.Stage {
	case launcher.StageReady, launcher.StageStopped:
		return paint(colored, green, text)
	case launcher.StageFailed, launcher.StageCrashed:
		return paint(colored, red, text)
	case launcher.StageWaiting, launcher.StageRetrying:
		return paint(colored, yellow, text)
	default:
		return text
	}
}
