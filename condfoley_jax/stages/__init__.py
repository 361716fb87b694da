"""One file per trained thing: its loss, its evaluation, what it exports."""
