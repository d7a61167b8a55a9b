package health_test

var alarmFaults = []fault{}
