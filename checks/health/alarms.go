package health

var alarmChecks = []*Check{}
