mod answer;
mod report;
