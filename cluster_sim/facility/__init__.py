"""Facility: the weather around a site, its cooling plant, and its prices of energy by the hour.

The room has no clock: it says what holds at an hour of the year, and what a plant draws then.
"""

from cluster_sim.facility.begins import HOURS_PER_YEAR, YearTime
from cluster_sim.facility.hourly import AnyCarbon, AnyPrice, HourlyCourse
from cluster_sim.facility.plant import CoolingPlantSpec, Medium, PlantDraw, PlantLoad
from cluster_sim.facility.plants import AnyPlant
from cluster_sim.facility.weather import Outside, Weather, outside_at, read_weather
from cluster_sim.facility.weather_files import YearOfAir

__all__ = [
    "HOURS_PER_YEAR",
    "AnyCarbon",
    "AnyPlant",
    "AnyPrice",
    "CoolingPlantSpec",
    "HourlyCourse",
    "Medium",
    "Outside",
    "PlantDraw",
    "PlantLoad",
    "Weather",
    "YearOfAir",
    "YearTime",
    "outside_at",
    "read_weather",
]
